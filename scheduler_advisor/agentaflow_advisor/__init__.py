"""AgentaFlow's advisor: PromQL into money and decisions, and the approved ones into the cluster."""
