"""``make bench``: speed and memory first, then accuracy against the classic ways on pictures of known truth.

``python -m tests.benchmarks.compare`` does more, on the real micrographs too, and takes longer.
"""

import sys

from tests.benchmarks import compare, speed

sys.stdout.write("## Speed and memory\n\n")
speed.main([])
sys.stdout.write("\n## Accuracy\n\n")
compare.main(["--no-real", "--seeds", "40", "--shape", "512", "512"])
