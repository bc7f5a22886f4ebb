"""A treatment for tests only: a ledger without simulator."""

from osteon.treatments.base import Ledger, LedgerRow, Treatment


class DrugLedger(Treatment):
    name, title, family = "drug_ledger", "Drug ledger (test)", "drugs"
    devices = {}
    rules = [
        {
            "id": "LEDGER-01", "kind": "support", "when": True, "because": "A ledger is simple.", "source": "project-proposal",
            "class": "proposal", "examples": [{"facts": {}, "is": True}],
        }
    ]  # fmt: skip

    def simulates(self):
        return False

    def ledger(self, facts):
        return Ledger((LedgerRow("tablets", "2 per day", "4 per day"),))
