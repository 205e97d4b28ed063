import { type CallOptions, Metadata, type ServiceError } from "@grpc/grpc-js";

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => unknown;

/**
 * Makes one unary call with a deadline.
 *
 * @param method a client's method, bound to the client
 * @param timeoutMs time allowed for connecting and answering together
 * @throws ServiceError with grpc's status in `code` and the server's words in `details`
 */
export function callUnary<Request, Response>(
  method: UnaryMethod<Request, Response>,
  request: Request,
  timeoutMs: number,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method(request, new Metadata(), { deadline: Date.now() + timeoutMs }, (error, response) => {
      if (error) reject(error);
      else resolve(response);
    });
  });
}
