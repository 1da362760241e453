"""The build itself: plan, stages, instructions, export."""
