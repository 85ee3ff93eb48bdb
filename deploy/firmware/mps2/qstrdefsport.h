// No names beside those that the sources themselves hold.
