"""AWS KMS as moto serves it, except that keys that are disabled or about to be deleted are refused
as AWS refuses them: moto by itself goes on using them."""

from functools import wraps

from moto.core.exceptions import JsonRESTError
from moto.kms import models
from moto.server import main


def refuse_unusable(key):
    if key is None or key.key_state == "Enabled":
        return
    if key.key_state == "Disabled":
        raise JsonRESTError("DisabledException", f"{key.arn} is disabled.")
    raise JsonRESTError("KMSInvalidStateException", f"{key.arn} is pending deletion.")


def checked(work):
    @wraps(work)
    def wrapper(master_keys, **rest):
        result = work(master_keys, **rest)
        key_id = rest["key_id"] if "key_id" in rest else result[1]
        refuse_unusable(master_keys.get(key_id))
        return result

    return wrapper


models.encrypt = checked(models.encrypt)
models.decrypt = checked(models.decrypt)

if __name__ == "__main__":
    main()
