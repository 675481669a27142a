"""Locks of the operating system, where the file system supports them.

Data flow: none; serves whatever writes files that another process may write at the same time.
"""

import errno

import filelock

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # on network and FUSE folders


def acquire(lock: filelock.BaseFileLock) -> str | None:
    """Acquire a lock; return the reason if the file system supports none, None if it is held.

    Args:
        lock: not yet held.

    Raises:
        filelock.Timeout: If another process holds it for longer than the lock waits.
        OSError: If the file of the lock cannot be made.
    """
    try:
        lock.acquire()
    except filelock.Timeout:
        raise
    except NotImplementedError as problem:  # releases of filelock before 4 raise it for ENOSYS
        return str(problem)
    except OSError as problem:
        if problem.errno not in _UNSUPPORTED:
            raise
        return str(problem)
    return None
