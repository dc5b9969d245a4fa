"""From one input to another: templates rendered, records moved."""
