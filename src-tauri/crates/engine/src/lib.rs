//! Roles, policy, flows, runs, approvals, effects and recovery.
