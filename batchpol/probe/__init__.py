"""What SES really does: questions that anybody with an account can have answered.

Each question is a file of its own: what is asked and how, why it matters, and what batchpol does in each case.

- :mod:`batchpol.probe.asking`: requests, one a second or several at once, and what came of them and when.
- :mod:`batchpol.probe.place`: the identity, what is put there, and how SES is reached.
- :mod:`batchpol.probe.odds`: an answer told from noise.
- :mod:`batchpol.probe.probe`: the questions one after the other, and nothing left behind.
- :mod:`batchpol.probe.page`: the answers for people.
"""

from batchpol.probe.asking import Send
from batchpol.probe.page import page
from batchpol.probe.place import Place, reached
from batchpol.probe.probe import QUESTIONS, Probe, chosen, permissions
from batchpol.probe.question import Question

__all__ = ["QUESTIONS", "Place", "Probe", "Question", "Send", "chosen", "page", "permissions", "reached"]
