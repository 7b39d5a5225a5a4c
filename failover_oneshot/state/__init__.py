"""The state that is kept between checks: its values, how they change, and the file."""
