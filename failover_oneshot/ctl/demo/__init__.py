"""`failoverctl demo`: a throwaway installation and the promises that are checked in it."""
