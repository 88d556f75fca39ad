"""The sections of a report, in their order. Each writes its part of the page and gives its numbers."""
