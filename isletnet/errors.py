"""The exceptions of isletnet, each with a code that never changes.

::

    IsletnetError
    ├── InputError            the caller's data or parameters cannot be used
    │   ├── UnsupportedImageError     not a format or pixel type that is read
    │   ├── DamagedImageError         the right format, but broken or cut short
    │   ├── ImageTooLargeError        more pixels than the limit allows
    │   ├── CalibrationError          a pixel size that cannot be
    │   └── ParameterError            a parameter outside its range
    ├── NetworkError          a network is unknown, damaged or unusable
    ├── ExportError           a result file cannot be written
    └── StorageError          the store cannot do what is asked
        ├── StoreUnavailableError     it does not answer; later it may
        ├── StoreFullError            no space is left
        ├── StoreUnsuitableError      it cannot keep the promises that are needed, or refuses access
        ├── NotStoredError            there is nothing of that name
        ├── AlreadyStoredError        there is something of that name, and it is never overwritten
        ├── ConflictError             what is stored does not allow it
        ├── GoneError                 it was there and has been handed out or deleted
        ├── LeaseLostError            the work on a request belongs to somebody else now
        └── ClockError                the clock moved too far to delete anything by age
"""


class IsletnetError(Exception):
    """Base of every error that isletnet raises on purpose.

    Parameters
    ----------
    message
        One plain sentence: what was expected, what came, what to do.
    subject
        The file, parameter or network that it is about, if there is one.
    """

    code = "isletnet_error"

    def __init__(self, message: str, *, subject: str | None = None) -> None:
        self.subject = subject
        self.message = message
        super().__init__(f"{subject}: {message}" if subject else message)


class InputError(IsletnetError):
    """The caller's data or parameters cannot be used."""

    code = "bad_input"


class UnsupportedImageError(InputError):
    """The file is no picture of a format and pixel type that isletnet reads."""

    code = "image_unsupported"


class DamagedImageError(InputError):
    """The file has a known format, but is broken or cut short."""

    code = "image_damaged"


class ImageTooLargeError(InputError):
    """The picture has more pixels than the limit allows."""

    code = "image_too_large"


class CalibrationError(InputError):
    """A pixel size that cannot be."""

    code = "calibration_invalid"


class ParameterError(InputError):
    """A parameter is outside its range or unknown."""

    code = "parameter_invalid"


class NetworkError(IsletnetError):
    """A network is unknown, damaged or cannot be run here."""

    code = "network_unusable"


class ExportError(IsletnetError):
    """A result file cannot be written."""

    code = "export_failed"


class StorageError(IsletnetError):
    """The store cannot do what is asked."""

    code = "storage_failed"


class StoreUnavailableError(StorageError):
    """The store does not answer; later it may."""

    code = "storage_unavailable"


class StoreFullError(StorageError):
    """No space is left in the store."""

    code = "storage_full"


class StoreUnsuitableError(StorageError):
    """The store cannot keep the promises that are needed, or refuses access."""

    code = "storage_unsuitable"


class NotStoredError(StorageError):
    """There is nothing of that name."""

    code = "not_found"


class AlreadyStoredError(StorageError):
    """There is something of that name, and it is never overwritten."""

    code = "already_stored"


class ConflictError(StorageError):
    """What is stored does not allow it."""

    code = "conflict"


class GoneError(StorageError):
    """It was there and has been handed out or deleted."""

    code = "gone"


class LeaseLostError(StorageError):
    """The work on a request belongs to somebody else now, or has ended."""

    code = "lease_lost"


class ClockError(StorageError):
    """The clock moved too far since the last look to delete anything by age."""

    code = "clock_jumped"
