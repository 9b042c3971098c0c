"""Speed and scale, as ratios taken in one run. ``python -m benchmarks --help`` tells what there is."""
