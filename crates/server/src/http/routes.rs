//! All routes, each with the scope that a token needs for it. A handler cannot be reached without one.

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use execution_engine_store::TokenScope::{self, Admin, Read, Run};

use super::caller::Caller;
use super::{
    App, events, execution, executions, gc, groups, imports, input, output, plans, schedules,
    status, tokens,
};
use crate::problem::Problem;

const DELETE: MethodFilter = MethodFilter::DELETE;
const GET: MethodFilter = MethodFilter::GET;
const PATCH: MethodFilter = MethodFilter::PATCH;
const POST: MethodFilter = MethodFilter::POST;
const PUT: MethodFilter = MethodFilter::PUT;

/// Routes that are being put together.
struct Routes {
    router: Router<App>,
    /// The same as texts, for the test of the documentation.
    #[cfg(test)]
    listed: Vec<String>,
}

impl Routes {
    /// Adds a method of a path, with the scope that it needs.
    fn on<H, T>(mut self, method: MethodFilter, path: &str, scope: TokenScope, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let allowed = middleware::from_fn_with_state(scope, only_allowed);
        self.router = self.router.route(path, on(method, handler).route_layer(allowed));
        #[cfg(test)]
        self.listed.push(format!("{} {path} {scope}", tests::name(method)));
        self
    }
}

/// Creates the router. Who calls is found out by layers around it, which differ between the ways to it.
pub(super) fn router() -> Router<App> {
    routes().router.fallback(no_such_route).method_not_allowed_fallback(wrong_method)
}

fn routes() -> Routes {
    let routes = Routes {
        router: Router::new(),
        #[cfg(test)]
        listed: Vec::new(),
    };
    of_service(of_groups(of_plans(of_executions(routes))))
}

fn of_executions(routes: Routes) -> Routes {
    routes
        .on(GET, "/v1/executions", Read, executions::list)
        .on(POST, "/v1/executions", Run, executions::submit)
        .on(GET, "/v1/executions/{id}", Read, execution::show)
        .on(PUT, "/v1/executions/{id}", Run, executions::put)
        .on(PATCH, "/v1/executions/{id}", Run, execution::change)
        .on(DELETE, "/v1/executions/{id}", Run, execution::remove)
        .on(GET, "/v1/executions/{id}/wait", Read, execution::wait)
        .on(POST, "/v1/executions/{id}/cancel", Run, execution::cancel)
        .on(POST, "/v1/executions/{id}/signal", Run, execution::signal)
        .on(POST, "/v1/executions/{id}/pause", Run, execution::pause)
        .on(POST, "/v1/executions/{id}/resume", Run, execution::resume)
        .on(POST, "/v1/executions/{id}/rerun", Run, executions::rerun)
        .on(GET, "/v1/executions/{id}/input", Read, input::end)
        .on(POST, "/v1/executions/{id}/input", Run, input::write)
        .on(GET, "/v1/executions/{id}/events", Read, events::follow)
        .on(GET, "/v1/executions/{id}/output", Read, output::read)
        .on(GET, "/v1/executions/{id}/record", Read, imports::record)
        .on(GET, "/v1/executions/{id}/journal", Read, imports::journal)
}

fn of_plans(routes: Routes) -> Routes {
    routes
        .on(GET, "/v1/plans", Read, plans::list)
        .on(POST, "/v1/plans", Run, plans::submit)
        .on(GET, "/v1/plans/{id}", Read, plans::show)
        .on(DELETE, "/v1/plans/{id}", Run, plans::remove)
        .on(GET, "/v1/plans/{id}/changes", Read, plans::changes)
        .on(POST, "/v1/plans/{id}/cancel", Run, plans::cancel)
        .on(POST, "/v1/plans/{id}/resume", Run, plans::resume)
        .on(GET, "/v1/schedules", Read, schedules::list)
        .on(POST, "/v1/schedules", Run, schedules::create)
        .on(GET, "/v1/schedules/{id}", Read, schedules::show)
        .on(PATCH, "/v1/schedules/{id}", Run, schedules::change)
        .on(DELETE, "/v1/schedules/{id}", Run, schedules::remove)
        .on(POST, "/v1/schedules/{id}/run", Run, schedules::run)
}

fn of_groups(routes: Routes) -> Routes {
    routes
        .on(GET, "/v1/groups", Read, groups::list)
        .on(GET, "/v1/groups/{name}", Read, groups::show)
        .on(PUT, "/v1/groups/{name}", Admin, groups::set)
        .on(DELETE, "/v1/groups/{name}", Admin, groups::remove)
}

fn of_service(routes: Routes) -> Routes {
    routes
        .on(GET, "/v1/tokens", Admin, tokens::list)
        .on(POST, "/v1/tokens", Admin, tokens::create)
        .on(DELETE, "/v1/tokens/{name}", Admin, tokens::revoke)
        .on(PUT, "/v1/imports/{id}", Admin, imports::upload)
        .on(POST, "/v1/imports/{id}", Admin, imports::import)
        .on(DELETE, "/v1/imports/{id}", Admin, imports::discard)
        .on(POST, "/v1/service/gc", Admin, gc::gc)
        .on(GET, "/v1/service", Read, status::service)
        .on(GET, "/healthz", Read, status::healthy)
        .on(GET, "/readyz", Read, status::ready)
}

/// Refuses callers whose token lacks the scope.
async fn only_allowed(
    State(scope): State<TokenScope>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    caller.check(scope, &request)?;
    Ok(next.run(request).await)
}

async fn no_such_route(uri: Uri) -> Problem {
    let detail = format!("there is no route {}", uri.path());
    Problem::of_http(404, "no_such_route", "There is no such route", detail).fix(
        "the routes begin with /v1/executions, /v1/plans, /v1/schedules, /v1/groups, /v1/tokens and /v1/service",
    )
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{method} does not fit {}", uri.path());
    Problem::of_http(405, "method_not_allowed", "The method does not fit", detail)
        .fix("the header Allow has those that do")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn name(method: MethodFilter) -> &'static str {
        match method {
            DELETE => "DELETE",
            GET => "GET",
            PATCH => "PATCH",
            POST => "POST",
            PUT => "PUT",
            _ => panic!("another method: {method:?}"),
        }
    }

    #[test]
    fn documentation_has_the_scope_of_each_route() {
        let page = include_str!("../../../../docs/api.md");
        let listed = routes().listed;
        for route in &listed {
            let [method, path, scope] = route.split(' ').collect::<Vec<_>>()[..] else { panic!() };
            let line = format!("| `{method}` | `{path}` | `{scope}` |");
            assert!(page.lines().any(|it| it == line), "docs/api.md has no line {line}");
        }
        let documented = page.lines().filter(|line| line.contains("` | `/")).count();
        assert_eq!(documented, listed.len(), "docs/api.md has routes that there are not");
    }

    #[test]
    fn reading_is_all_that_read_allows() {
        let listed = routes().listed;
        let of_read = listed.iter().filter(|route| route.ends_with(" read"));
        assert!(of_read.clone().count() > 10);
        of_read.for_each(|route| assert!(route.starts_with("GET "), "{route}"));
    }
}
