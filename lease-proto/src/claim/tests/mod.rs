//! Timelines: what goes in when, and what comes out.
