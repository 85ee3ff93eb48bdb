"""Changes and commands from operators: signed, in range, on trial, confirmed or rolled back.

canonical    a configuration as bytes that are the same everywhere, and its hash
parameters   the numbers of what may be changed, who may, and by how much at a time
retune       a changed configuration for what the loops take over as they run
patch        a message's body to a changed configuration
gate         who may pass: every reason to refuse a message, in the order they are looked at
slots        two slots and a record in the store: old or new, never a mix
trial        the health window, the operators' confirmation, the way back
keeper       what is done in the store, in order, and what waits for it
audit        the log of it all: who, what, when, the result
orders       what commands do
manifest     an application update: its release and hashes
release      which application runs: the installed one, or one of two slots
update       an update on its way into its slot, on trial, kept or given up
standing     what a start has chosen to run (boot chooses)
fields       times and counts that all messages share
lazy         what of this is only loaded for a message
vitals       flow, temperature difference, pump current, dew point: beside a trial
desk         the optional part of the agent that joins them
"""
