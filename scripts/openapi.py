"""Prints docs/openapi.json, the released OpenAPI document. Run it for a release: python scripts/openapi.py > docs/openapi.json"""

import json
import tempfile
from pathlib import Path
from typing import Any

from service.api.app import create_app
from service.settings import Settings
from service.store.engine import upgrade


def document() -> dict[str, Any]:
    """The OpenAPI document of the application as it is."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), database_url="", oidc_issuer="")
        upgrade(settings.store_url)
        app = create_app(settings)
        app.state.access.close()
        app.state.service.engine.dispose()
        return app.openapi()


if __name__ == "__main__":
    print(json.dumps(document(), ensure_ascii=False, indent=1, sort_keys=True))
