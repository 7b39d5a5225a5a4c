"""What every agent program offers. Pure."""

from enum import StrEnum


class PromptState(StrEnum):
    """What the agent's own records say of a prompt."""

    NONE = "none"  # there are no records
    ABSENT = "absent"  # the prompt is not in them
    OPEN = "open"  # it was taken, and its turn has no end
    DOUBT = "doubt"  # it was taken, and its turn may have ended
    ENDED = "ended"
    LIMIT = "limit"  # its turn ended at a limit
    ERROR = "error"  # its turn ended with another error
