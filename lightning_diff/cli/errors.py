"""How a command ends early: an error that the user can fix is printed as one line."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from ..cluster.signals import STOP, Interrupted
from ..config.errors import ConfigError
from ..config.input.files import located
from ..config.input.messages import one_line
from ..files import NO_ROOM
from .terminal import settle_terminal

LACKING = (*NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM)  # the system's limits: no room, no permission to write


def lacking(error: BaseException) -> str | None:
    """The message of an error that says that the system has no room or no permission; None for other errors."""
    if not isinstance(error, OSError) or error.errno not in LACKING:
        return None
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def exit_on_error(work: Callable[[], None]) -> None:
    """Run `work`. If the user can fix its error, or a signal stops it, print one line and exit."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    settle_terminal()
    STOP.install()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them
    try:
        work()
    except ConfigError as e:
        _fail(located(str(e), sys.argv[1:]), 2)
    except (HydraException, OmegaConfBaseException) as e:
        _fail(located(one_line(e), sys.argv[1:]), 2)
    except Interrupted as e:
        if not e.handed_back:
            from ..cluster.requeue import hand_back

            hand_back(e)
        _fail(str(e), e.exit_code)
    except Exception as e:
        if not (why := lacking(e)):
            raise
        _fail(f"error: {why}; mend that, and the same command continues", 1)


def _fail(message: str, code: int) -> None:
    one = message.replace("\r", "\\r").replace("\n", "\\n")  # a path may hold them
    print(f"error: {one}" if code == 2 else message, file=sys.stderr, flush=True)
    sys.exit(code)
