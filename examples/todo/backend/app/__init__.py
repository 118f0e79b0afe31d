"""The todo API: accounts, tasks, and a chat that works on the tasks."""
