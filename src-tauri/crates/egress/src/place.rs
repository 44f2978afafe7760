//! Where a request goes: this machine or another, decided without looking up a name.
