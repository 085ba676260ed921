"""From published memberships to what a destination holds: plan, guard, send, receipts, state."""
