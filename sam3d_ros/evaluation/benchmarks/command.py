# Copyright 2026 The sam3d_ros Authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""What the benchmarks of models have in common as commands."""

import argparse
from collections.abc import Callable, Iterable, Sequence

import torch

from sam3d_ros.evaluation.benchmarks.running import parser_of, run_parsed

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def main_of(
    name: str,
    description: str,
    sizes: Iterable[str],
    run: Callable[[argparse.Namespace], int],
    argv: Sequence[str] | None,
) -> int:
    """Run one benchmark; return 1 for a failure said in one sentence.

    On a GPU the official size and bfloat16 are the defaults, on a CPU the reduced size.
    """
    parser = parser_of(f"sam3d_ros.evaluation.benchmarks.{name}", description)
    has_gpu = torch.cuda.is_available()
    parser.add_argument(
        "--size", choices=sizes, default="official" if has_gpu else "reduced", help="of the models"
    )
    parser.add_argument("--device", default="cuda" if has_gpu else "cpu", help="torch device")
    parser.add_argument("--dtype", choices=DTYPES, help="bfloat16 on a GPU, else float32")
    return run_parsed(name, parser, run, argv)
