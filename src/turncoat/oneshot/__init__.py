"""One-shot recognition: Siamese networks, pairs, episodes, enrolment and what they are measured by."""
