"""The third dimension on a page: models of islets, and stacks; the heavy work is done in a process of its own."""
