"""Results of instructions by key: what the keys are made from, where they are looked up, what a hit does to a stage."""
