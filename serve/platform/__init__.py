"""The platform on one machine: its processes, their folder, and how the application is put onto Ray."""
