"""The application: questions about a run over HTTP, each answer JSON, each refusal one sentence with a status of 4xx.

=================================== ==================================================================================
``GET /``                           the page to explore the graph with
``GET /predict``                    the answers to a query of head, relation and tail, of which one is missing
``POST /predict``                   the same for an entity that the graph does not have, by a text or a picture
``GET /similar``                    the entities like an entity or a text
``POST /similar``                   the entities like a text or a picture that is uploaded
``GET /complete``                   entities or relations whose name begins so
``GET /overview``                   what there is to ask about
``GET /images/{entity}/{number}``   the thumbnail of a picture, by the entity's id
``GET /health``                     whether the application is up
``GET /docs``, ``/openapi.json``    how to ask
=================================== ==================================================================================

No path in a request is ever opened: pictures are named by the number of an entity, texts and names are compared only.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from .._version import VERSION
from ..encoders.images import decode_image
from ..errors import DataError, MultimodalError
from .answers import AnswerCache, BusyError
from .explore import explore_page, reference_page
from .limits import Limits, LimitsMiddleware, error_body
from .service import NewItem, QueryService

__all__ = ["make_application", "require_serving"]

logger = logging.getLogger(__name__)

_NEEDED = ("fastapi", "uvicorn", "python_multipart")


def require_serving() -> None:
    """Check that what a service needs is installed.

    :raises MultimodalError: if it is not
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MultimodalError(f"To serve a run, {missing[0]} is needed: pip install 'pykeen-mmkg[serve]'")


def render(content: Any) -> bytes:
    """Return JSON in ASCII, which any text becomes."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def _digest(data: bytes | None) -> bytes | None:
    return None if data is None else hashlib.sha256(data).digest()


def make_application(service: QueryService, limits: Limits | None = None) -> Any:
    """Make the application.

    :param service: what answers
    :param limits: what a client may ask
    :returns: an application of FastAPI, for any server of ASGI
    :raises MultimodalError: if FastAPI is not installed
    """
    require_serving()
    import fastapi
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    limits = limits or Limits()
    app = fastapi.FastAPI(
        title="pykeen-mmkg",
        version=VERSION,
        description="Questions about a multimodal knowledge graph.",
        docs_url=None,
        redoc_url=None,
    )

    def refusal(status: int, message: str, headers: Any = None) -> fastapi.Response:
        return fastapi.Response(error_body(message), status, headers, "application/json")

    @app.exception_handler(MultimodalError)
    async def bad_question(_request: fastapi.Request, error: MultimodalError) -> fastapi.Response:
        return refusal(400, str(error))

    @app.exception_handler(BusyError)
    async def busy(_request: fastapi.Request, error: BusyError) -> fastapi.Response:
        return refusal(429, str(error), {"retry-after": "1"})

    @app.exception_handler(HTTPException)
    async def no_route(_request: fastapi.Request, error: HTTPException) -> fastapi.Response:
        return refusal(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(_request: fastapi.Request, error: RequestValidationError) -> fastapi.Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "The request"
        return refusal(422, f"{where[:80]}: {first['msg'][:300]}.")

    @app.exception_handler(Exception)
    async def broken(_request: fastapi.Request, error: Exception) -> fastapi.Response:
        logger.error("a request failed", exc_info=error)
        return refusal(500, "The server failed at this request; its log says why.")

    _add_pages(app, service)
    _add_questions(app, service, limits)
    app.add_middleware(LimitsMiddleware, limits=limits)
    return app


def _add_pages(app: Any, service: QueryService) -> None:
    """Add what does not depend on a question."""
    import fastapi

    explore, policy = explore_page()
    overview = render(service.overview())
    health = render({"status": "ok", "version": VERSION, "model": type(service.model).__name__})

    def page(content: str, policy: str) -> fastapi.Response:
        return fastapi.Response(content, 200, {"content-security-policy": policy}, "text/html; charset=utf-8")

    @app.get("/", include_in_schema=False)
    async def index() -> fastapi.Response:
        return page(explore, policy)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> fastapi.Response:
        return page(*reference_page(app.openapi()))

    @app.get("/health", summary="Whether the application is up")
    async def is_healthy() -> fastapi.Response:
        return fastapi.Response(health, media_type="application/json")

    @app.get("/overview", summary="Sizes, what the model can do, and some queries to begin with")
    async def show_overview() -> fastapi.Response:
        return fastapi.Response(overview, media_type="application/json")


def _add_questions(app: Any, service: QueryService, limits: Limits) -> None:
    """Add what is asked of the model, and of the graph."""
    import fastapi
    from pydantic import BaseModel, ConfigDict, Field

    answers = AnswerCache(limits.cache_size, limits.max_waiting)
    pictures = AnswerCache(limits.cache_size, 16 * limits.max_waiting)
    a_name = Annotated[str | None, Field(max_length=limits.max_name)]
    a_text = Annotated[str | None, Field(max_length=limits.max_text)]
    a_count = Annotated[int, Field(ge=1, le=limits.max_answers)]

    async def answered(key: tuple[Any, ...], compute: Callable[[], Any]) -> fastapi.Response:
        return fastapi.Response(await answers.get(key, lambda: render(compute())), media_type="application/json")

    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")

    class Prediction(Strict):
        head: a_name = Field(None, description="The head, by label or name; leave out the slot that is asked for.")
        relation: a_name = Field(None, description="The relation, by label or name.")
        tail: a_name = Field(None, description="The tail, by label or name.")
        k: a_count = Field(10, description="How many answers.")
        known: Literal["drop", "mark"] = Field("mark", description="Leave out what is known, or mark it by its split.")
        explain: bool = Field(False, description="What each part of the model adds to a score, if it can say so.")

    class NewPrediction(Prediction):
        new: Literal["head", "tail"] = Field(
            "head", description="Where the entity stands that the graph does not have."
        )
        text: a_text = Field(None, description="Its text.")
        image: fastapi.UploadFile | None = Field(None, description="Its picture.")

    class Resemblance(Strict):
        entity: a_name = Field(None, description="An entity, by label or name.")
        text: a_text = Field(None, description="A text, in place of an entity.")
        modality: a_name = Field(None, description="By which vectors, see the overview.")
        k: a_count = Field(10, description="How many answers.")

    class Upload(Strict):
        text: a_text = Field(None, description="A text.")
        image: fastapi.UploadFile | None = Field(None, description="A picture, in place of a text.")
        modality: a_name = Field(None, description="By which vectors, see the overview.")
        k: a_count = Field(10, description="How many answers.")

    class Completion(Strict):
        kind: Literal["entity", "relation"] = Field("entity", description="Of what the name is.")
        prefix: Annotated[str, Field(max_length=limits.max_name)] = Field(
            "", description="How it, or a word of it, begins."
        )
        limit: a_count = Field(10, description="How many at most.")

    @app.get("/predict", summary="Answer a query of head, relation and tail, of which one is missing")
    async def predict(asked: Annotated[Prediction, fastapi.Query()]) -> fastapi.Response:
        query = {"head": asked.head, "relation": asked.relation, "tail": asked.tail}
        key = ("predict", *query.values(), asked.k, asked.known, asked.explain)
        return await answered(key, lambda: service.predict(query, asked.k, asked.known, asked.explain))

    @app.post("/predict", summary="Answer a query about an entity that the graph does not have, by a text or a picture")
    async def predict_new(asked: Annotated[NewPrediction, fastapi.Form()]) -> fastapi.Response:
        query: dict[str, Any] = {"head": asked.head, "relation": asked.relation, "tail": asked.tail}
        data = None if asked.image is None else await asked.image.read()

        def compute() -> Any:
            if query[asked.new] is not None:
                raise DataError(f"The {asked.new} is the new entity and a given one: leave out {asked.new}.")
            new = NewItem(asked.text, None if data is None else decode_image(data, "the upload", limits.max_pixels))
            return service.predict({**query, asked.new: new}, asked.k, asked.known, asked.explain)

        options = (asked.new, asked.text, asked.k, asked.known, asked.explain)
        return await answered(("new", _digest(data), *query.values(), *options), compute)

    @app.get("/similar", summary="Entities like an entity or a text")
    async def similar(asked: Annotated[Resemblance, fastapi.Query()]) -> fastapi.Response:
        given = asked.model_dump()
        return await answered(("similar", *given.values()), lambda: service.similar(**given))

    @app.post("/similar", summary="Entities like a text or a picture that is uploaded")
    async def similar_upload(asked: Annotated[Upload, fastapi.Form()]) -> fastapi.Response:
        data = None if asked.image is None else await asked.image.read()

        def compute() -> Any:
            image = None if data is None else decode_image(data, "the upload", limits.max_pixels)
            return service.similar(text=asked.text, image=image, modality=asked.modality, k=asked.k)

        return await answered(("upload", _digest(data), asked.text, asked.modality, asked.k), compute)

    @app.get("/complete", summary="Entities or relations whose name begins so")
    async def complete(asked: Annotated[Completion, fastapi.Query()]) -> fastapi.Response:
        # as fast as looking it up, and asked for at each key that is pressed
        content = render(service.complete(asked.kind, asked.prefix, asked.limit))
        return fastapi.Response(content, media_type="application/json")

    @app.get("/images/{entity}/{number}", summary="The thumbnail of a picture of an entity, by the id of the entity")
    async def image(
        entity: Annotated[int, fastapi.Path(ge=0, lt=2**63)], number: Annotated[int, fastapi.Path(ge=0, lt=2**63)]
    ) -> fastapi.Response:
        content = await pictures.get((entity, number), lambda: service.picture(entity, number) or b"")
        if not content:
            raise fastapi.HTTPException(404, f"Entity {entity} has no picture {number}.")
        return fastapi.Response(content, 200, {"cache-control": "max-age=3600"}, "image/jpeg")
