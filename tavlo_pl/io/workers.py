"""Behaviour of worker processes that read files."""

import multiprocessing
import os
import threading


def exit_with_parent() -> None:
    """Ends this process when its parent is killed; otherwise it would wait for work forever."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None, "only started processes come here"
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
