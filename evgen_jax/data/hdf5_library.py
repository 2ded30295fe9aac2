"""h5py, which keeps the HDF5 library that came with it where another one is loaded already."""

import ctypes
import os
import sys

__all__ = ["h5py"]

# IceTray makes the HDF5 library of its tableio global. The wheel of h5py brings another version under the same names of functions,
# and would take those that are there: it fails, or writes what cannot be read. RTLD_DEEPBIND puts its own names first. Only then:
# it also turns off allocators that were preloaded (LD_PRELOAD).
if "h5py" not in sys.modules and hasattr(os, "RTLD_DEEPBIND") and hasattr(ctypes.CDLL(None), "H5open"):
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        import h5py
    finally:
        sys.setdlopenflags(flags)
else:
    import h5py
