"""Speed beside peers: `python -m benchmarks.speed [--quick] [--only WORD...]`."""
