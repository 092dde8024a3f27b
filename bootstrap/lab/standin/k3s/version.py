"""The version that the stand-in reports; the published executable carries its own copy of this file."""

VERSION = "v0.0.0+k3s1-standin"
