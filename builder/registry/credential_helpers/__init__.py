"""What ``--credential-helpers`` names: ways to find credentials besides Docker's files."""
