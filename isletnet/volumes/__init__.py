"""The third dimension: z-stacks, solids and their surfaces, and how well one projection tells a volume."""
