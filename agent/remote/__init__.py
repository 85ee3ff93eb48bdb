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
lazy         what of this is only loaded for a message
desk         the optional part of the agent that joins them
"""
