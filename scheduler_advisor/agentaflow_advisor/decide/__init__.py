"""The room that decides: proposals, guards, approvals, and the journal that remembers them."""
