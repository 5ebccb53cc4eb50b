"""Our own resources in the API: recommendations to approve, nodes to look at, work to submit."""
