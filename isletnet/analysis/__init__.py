"""From a micrograph to numbers, in six steps that never import each other; `pipeline` joins them."""
