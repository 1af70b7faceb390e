"""`python -m tests.golden`: keep the log of a story for ever.

python -m tests.golden list            # the stories, and which of them are recorded
python -m tests.golden record NAME     # tell a story of tests/golden/stories.py and keep its log
python -m tests.golden states          # after FOLD_VERSION was raised: write what every log folds to from now on
"""

import sys
import zlib

from audit.bundle import FORMAT_VERSION
from tests.golden import files
from tests.golden.stories import STORIES

KEPT = """{} is recorded already, and a golden log is kept for ever, as it is.
If there is something new to keep: give it a story of another name in tests/golden/stories.py, and record that one."""


def main(arguments: list[str]) -> int:
    """The exit code: 0 done, 2 the arguments make no sense."""
    match arguments:
        case ["-h" | "--help"]:
            print(__doc__)
        case ["list"]:
            kept = {path.stem for path in files.log_files()}
            for name, tell in sorted(STORIES.items()):
                print(f"{'kept' if name in kept else 'new':5}{name:28}{(tell.__doc__ or '').strip()}")
        case ["record", *names] if names and set(names) <= STORIES.keys():
            for name in names:
                try:
                    record(name)
                except FileExistsError:
                    print(KEPT.format(name), file=sys.stderr)
                    return 2
        case ["states"]:
            for path in files.log_files():
                files.add_to_manifest([files.write_state(path)])
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def record(name: str) -> None:
    """Tell a story and keep its last log."""
    # The seed follows from the name, so that no two logs hold the same uids.
    stage = STORIES[name](zlib.crc32(name.encode()))
    log = stage.logs[-1]
    path = files.write(name, log, stage.universe.clock.now())
    print(f"{FORMAT_VERSION}/{path.name}: {log.head_position()} events, {path.stat().st_size} bytes")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
