"""The languages of satellite modems: AT lines, SBD, JSPR, NIDD, RDSS. Bytes <-> meaning."""
