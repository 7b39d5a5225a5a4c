"""A hypothesis strategy for observations of a dispatched task, for the tests of laws."""

from hypothesis import strategies as st

from failover_oneshot.agents.base import PromptState
from failover_oneshot.tasks.task import Availability, TaskObservation

TASK_OBSERVATIONS = st.builds(
    TaskObservation,
    alive=st.booleans(),
    availability=st.sampled_from(Availability),
    recorded=st.sampled_from(PromptState),
    hit=st.booleans(),
    shown=st.booleans(),
    answered=st.booleans(),
    drafted=st.booleans(),
    successor=st.sampled_from(["", "c", "other"]),
    startable=st.booleans(),
    swapped=st.booleans(),
)
