"""The version of the toolkit."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("interp")
except PackageNotFoundError:  # a checkout that was not installed
    __version__ = "unknown"
