"""`failoverctl demo`: a throwaway installation and what it must show."""
