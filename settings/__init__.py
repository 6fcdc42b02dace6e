"""The settings of every server part, and what makes a value acceptable."""
