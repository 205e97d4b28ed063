"""How much is going on: the overload bit, and when a file has to wait."""

import threading


class Load:
    """Counts files in progress. Thread-safe."""

    def __init__(self, overload_files: int, busy_files: int):
        self._overload_files = overload_files
        self._busy_files = busy_files
        self._lock = threading.Lock()
        self.files = 0
        self.overloaded = False

    def begin(self) -> bool:
        """Counts a file in; False when the server is too busy for it."""
        with self._lock:
            if self.files >= self._busy_files:
                return False
            self.files += 1
            if self.files >= self._overload_files:
                self.overloaded = True
            return True

    def end(self) -> None:
        with self._lock:
            self.files -= 1
            # Cleared later than it was set, so that the bit does not flap.
            if self.files <= self._overload_files // 2:
                self.overloaded = False
