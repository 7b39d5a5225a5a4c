"""The task queue, and the dispatch of its tasks to idle sessions."""
