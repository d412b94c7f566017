//! Work on the house itself: housekeeping.
