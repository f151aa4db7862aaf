"""Corrections to verl 0.9.1 for every process that imports it (verl imports VERL_USE_EXTERNAL_MODULES at its end).

Keep it light: it runs in each of Ray's worker processes.
"""

from verl.utils import import_utils

# verl 0.9.1 looks for trl's AutoModelForCausalLMWithValueHead in two places and trl 1.16 has it in neither, so a
# merely installed trl ends the actor's start. Its value model works without trl: AutoModelForTokenClassification.
import_utils.is_trl_available = lambda: False
