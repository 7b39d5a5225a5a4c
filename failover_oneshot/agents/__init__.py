"""The programs that run in the sessions, each behind one protocol."""
