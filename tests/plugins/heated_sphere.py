"""A treatment for tests only: a sphere is hot, everything else cools off within a few millimetres."""

import numpy as np

from osteon.space.anatomy import Field
from osteon.treatments.base import Effect, Ended, NeedleAccess, Setting, Trace, Treatment


class HeatedSphere(Treatment):
    name, title, family = "heated_sphere", "Heated sphere (test)", "ablation"
    devices = {"ball": {"title": "hot ball"}}
    rules = [
        {
            "id": "SPHERE-01", "kind": "support", "when": True, "because": "A sphere is simple.", "source": "project-proposal",
            "class": "proposal", "examples": [{"facts": {}, "is": True}],
        }
    ]  # fmt: skip

    def simulates(self):
        return True

    def needle(self, device):
        return NeedleAccess(160.0, "14G", 2.1, "bone needle 11G, 10 cm", 2.39, 100.0)

    def settings(self, anatomy, target, goal, device, poses=()):
        for pose in poses[:3]:
            for radius in (8.0, 12.0, 14.0, 16.0, 20.0, 24.0, 28.0):
                yield Setting(device, (pose,), (("radius_mm", radius), ("time_s", 300.0)))

    def quick(self, anatomy, setting):
        return self.simulate(anatomy, setting, None)

    def simulate(self, anatomy, setting, draw, observe=None):
        z, y, x = np.indices(anatomy.grid.shape, dtype=np.float32)
        at = anatomy.grid.to_mm(np.stack([z, y, x], axis=-1))
        far = np.linalg.norm(at - np.array(setting.poses[0].tip_mm), axis=-1) - setting.control("radius_mm")
        heat = (37.0 + 40.0 * np.exp(-np.maximum(far, 0.0) / 3.0)).astype(np.float32)
        dose = np.where(far <= 0, 1e4, 0.0).astype(np.float32)
        state = {Field.TEMPERATURE_C: anatomy.imaged.with_array(heat), Field.CEM43_MIN: anatomy.imaged.with_array(dose)}
        times = np.array([0.0, setting.control("time_s")])
        traces = {
            f"hottest:{s.id}": Trace(times, np.array([37.0, heat[m.array].max(initial=37.0)]), "°C")
            for s, m in anatomy.masks.items()
        }
        if observe is not None:
            observe(1.0)
        return Effect(f"hot sphere {setting.control('radius_mm'):g} mm", state, traces, {}, Ended("time", "done"))
