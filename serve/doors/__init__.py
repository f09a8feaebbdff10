"""What every route stands on, and the answers that go out."""
